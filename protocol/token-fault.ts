/**
 * Why a replica's token does not serve. Each is a service of gRPC health beside the replica's own (`token.absent`), a label of the
 * metric `bkv_token_fault`, and a row of docs/OPERATIONS.md that says what to do.
 */
export const tokenFaults = {
  absent: 'the token is not there: pulled, switched off, or out of the network',
  failing: 'the token or its module answers with errors',
  silent: 'the token does not answer',
  logged_out: 'the token logs this replica out as soon as it has logged in',
  pin_refused: 'the token refused the PIN, or its file cannot be read: no further attempt until the file is written anew',
  another: 'the token that came back is another one, or lacks keys of this replica',
  unfit: 'the token that came back fails its self-test',
  taken: 'another daemon served with the token meanwhile',
} as const;

export type TokenFault = keyof typeof tokenFaults;

export const allTokenFaults = Object.keys(tokenFaults) as TokenFault[];

/** The health service that is NOT_SERVING while the token has this fault. */
export const healthServiceOfToken = (fault: TokenFault): string => `token.${fault}`;
