// Imports point one way:
//
//   primitives ← protocol ← token, ledger ← vault ← replica ← rpc ← compose        proto: generated, imports nothing of ours
//   telemetry and fleet/verify stand beside token and ledger; client, frontend, cli, witness and demo stand outside the daemon
//
// `allow` states, for each folder, all that it may import of ours; what is not said is forbidden.
// Tests (*.test.ts and test/) may import anything.

const ours = '^(primitives|protocol|proto|grpc|daemon|fleet|client|frontend|cli|witness|demo|web|test)/';
const tests = '(^test/|\\.test\\.ts$)';

const allow = (name, folder, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: folder, pathNot: tests },
  to: { path: ours, pathNot: [folder, ...allowed] },
});

const forbid = (name, from, to, comment) => ({ name, severity: 'error', comment, from, to });

const primitives = '^primitives/';
const protocol = '^protocol/';
const proto = '^proto/';
const grpc = '^grpc/';
const base = [primitives, protocol, proto];
const tokenPort = '^daemon/token/port\\.ts$';
const guardStore = '^daemon/ledger/guard-store\\.ts$';
const ledger = '^daemon/ledger/';
const vault = '^daemon/vault/';
const replica = '^daemon/replica/';
const telemetry = '^daemon/telemetry/';
const config = '^daemon/config\\.ts$';
const faultPoint = '^daemon/fault-point\\.ts$';
const verify = '^fleet/verify/';

module.exports = {
  forbidden: [
    allow('primitives-stand-alone', primitives, [], 'Everything rests on primitives/, so it rests on nothing of ours.'),
    allow('protocol-is-the-bytes', protocol, [primitives, proto], 'protocol/ is what client and daemon must agree on: it knows neither.'),
    allow('proto-stands-alone', proto, [], 'Messages mean nothing by themselves; protocol/ says what they mean.'),
    forbid(
      'generated-code-is-plain',
      { path: '^proto/gen/' },
      { pathNot: ['^proto/gen/', '(^|/)node_modules/@bufbuild/protobuf/'] },
      'Generated code needs the runtime of protobuf-es and nothing else.',
    ),

    allow('grpc-joins-descriptors-to-grpc-js', grpc, base, 'Both ends of every call use it; it knows no method of ours.'),

    allow(
      'token-knows-pkcs11-only',
      '^daemon/token/',
      [primitives, protocol],
      'The token cannot know who asks; a caller of it cannot be reached from it.',
    ),
    allow('telemetry-tells-only', telemetry, [primitives, protocol], 'What reports an event must not be able to cause one.'),
    allow('ledger-counts-only', ledger, [...base, telemetry, faultPoint], 'The counter must be readable without the token and the vault.'),
    allow(
      'vault-is-pure-steps',
      vault,
      [...base, tokenPort, ledger, faultPoint],
      'Of the token the vault sees the port: its tests need no PKCS#11.',
    ),
    allow(
      'replica-stands-on-vault',
      replica,
      [...base, grpc, tokenPort, ledger, vault, telemetry, verify],
      'Replicas talk about steps; they do not parse calls.',
    ),
    allow(
      'rpc-is-the-outermost',
      '^daemon/rpc/',
      [...base, grpc, tokenPort, ledger, vault, replica, telemetry, config, verify, faultPoint],
      'rpc/ parses, calls and renders; it opens no token and reads no file.',
    ),
    allow('config-is-data', config, base, 'Reading the configuration must not start anything.'),
    forbid(
      'one-place-wires',
      { path: '^daemon/(?!(compose|own-keys|own-token|rebuild-guard)\\.ts)[^/]+\\.ts$', pathNot: tests },
      { path: ours, pathNot: [...base, telemetry, '^daemon/[^/]+\\.ts$', verify], dependencyTypesNot: ['type-only'] },
      'Only daemon/compose.ts, what opens the token of a replica, and what is done to the guard and the keys of a replica that does not run, put the parts together; a type wires nothing.',
    ),
    allow(
      'compose-stays-in-the-daemon',
      '^daemon/compose\\.ts$',
      [...base, grpc, '^daemon/', verify],
      'The daemon needs no client, no command line and no ceremony.',
    ),

    allow(
      'verify-never-imports-produce',
      verify,
      [...base, '^fleet/log/'],
      'What verifies must not share a fault, or a key, with what produces.',
    ),
    allow('log-stands-below', '^fleet/log/', base, 'The log’s format serves those who verify and those who produce.'),
    allow(
      'fleet-stands-outside',
      '^fleet/(?!verify/|log/|signing-token/)',
      [...base, grpc, '^fleet/'],
      'A ceremony gets its token from the command that runs it.',
    ),

    allow(
      'signing-token-uses-token',
      '^fleet/signing-token/',
      [primitives, '^daemon/token/(pkcs11/(mechanisms|module|session)|keys/templates|profile)\\.ts$'],
      'Operator and witness sign in tokens too: through the one folder that knows PKCS#11, and with none of a replica’s keys.',
    ),

    allow(
      'page-verifies-only',
      '^web/',
      [...base, verify, '^fleet/log/'],
      'The page does what everybody’s verifier does, with the same code.',
    ),

    allow(
      'client-imports-no-daemon',
      '^client/',
      [...base, verify, '^fleet/log/'],
      'The SDK runs on a device, and trusts nothing of the server’s: it verifies a fleet itself, with the code that everybody verifies with.',
    ),
    allow('frontend-relays', '^frontend/', [...base, grpc, '^client/'], 'The frontend library signs grants and relays messages.'),
    forbid(
      'frontend-sees-client-types-only',
      { path: '^frontend/', pathNot: tests },
      { path: '^client/', dependencyTypesNot: ['type-only'] },
      'The frontend never handles a code or a key: of the client it may know types.',
    ),
    allow(
      'cli-provisions-only',
      '^cli/',
      [
        ...base,
        grpc,
        '^client/',
        '^daemon/(own-keys|rebuild-guard)\\.ts$',
        '^frontend/',
        '^fleet/',
        '^daemon/token/(keys/(provision|init-token)|probe/(hsm-probe|suggest-profile)|profile|softhsm-directory)\\.ts$',
        guardStore,
        '^daemon/ledger/(etcd|bundles)\\.ts$',
        config,
      ],
      'Of the daemon, commands use its configuration and what makes a token, a guard store and what clients are handed: the daemon makes none.',
    ),

    allow(
      'witness-is-another-party',
      '^witness/',
      [...base, '^fleet/', '^cli/(arguments|output|run-program)\\.ts$', '^daemon/token/(keys/init-token|profile)\\.ts$'],
      'A witness runs this alone: it needs no replica, no client and none of the operator’s commands.',
    ),

    forbid(
      'pkcs11-in-token-only',
      { path: ours, pathNot: ['^daemon/token/', tests] },
      { path: '(^|/)node_modules/(pkcs11js|graphene-pk11)/' },
      'One folder knows PKCS#11.',
    ),
    forbid(
      'etcd-in-ledger-only',
      { path: ours, pathNot: [ledger, '^cli/status[^/]*\\.ts$', tests] },
      { path: '(^|/)node_modules/etcd3/' },
      'One wrapper holds the settings without which etcd3 replays transactions; `bkvctl status` only reads.',
    ),
    forbid(
      'level-in-ledger-only',
      { path: ours, pathNot: [ledger, tests] },
      { path: '(^|/)node_modules/classic-level/' },
      'The guard is written in one place, with sync and without createIfMissing.',
    ),
    forbid(
      'runs-in-a-browser',
      {
        path: '^(client|protocol|primitives|fleet/verify|fleet/log|web)/',
        pathNot: ['^primitives/(package-root|process-threads)\\.ts$', tests],
      },
      { dependencyTypes: ['core'] },
      'The SDK and all it stands on run in a browser: no node: module.',
    ),

    forbid(
      'no-test-code-in-products',
      { path: ours, pathNot: [tests, '^demo/'] },
      { path: tests },
      'What ships must not need what does not.',
    ),
    forbid(
      'no-demo-code-in-products',
      { path: ours, pathNot: [tests, '^demo/'] },
      { path: '^demo/' },
      'What ships must not need what does not.',
    ),
    forbid(
      'no-dev-dependency-in-products',
      { path: ours, pathNot: [tests, '^demo/'] },
      { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
      'A product is installed without the development dependencies.',
    ),
    forbid('no-circle', { path: ours }, { circular: true }, 'Two files that import each other are one file, or miss a third.'),
    forbid('resolvable', { path: ours }, { couldNotResolve: true }, 'The file or package is not there, or not in package.json.'),
  ],

  options: {
    doNotFollow: { path: '(^|/)node_modules/' },
    exclude: { path: '^(dist|build)/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true, // a type import is an import: the reader needs the other file all the same
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
