import type { Statement } from '../protocol/statement.ts';
import type { Config } from './config.ts';
import { readPin } from './inputs.ts';
import { type OpenToken, openToken } from './token/open-token.ts';
import type { TokenEvent } from './token/pool/pool.ts';
import { initParametersFor, loadProfile } from './token/profile.ts';

/** The token of a configured replica, tested. Throws as `openToken` does. */
export function openOwnToken(config: Config, { fleet, epoch }: Statement, onEvent: (event: TokenEvent) => void): Promise<OpenToken> {
  const { module, label } = config.token;
  const profile = loadProfile(config.token.profile);
  return openToken({
    profile,
    ...(module ? { module } : {}),
    initParameters: initParametersFor(profile, config.token),
    tokenLabel: label,
    pin: () => readPin(config),
    ...{ fleet, epoch, index: config.replica },
    onEvent,
  });
}
