/**
 * Ends this process by its exit code as soon as nothing is left to do. Left to itself, Node 20 may spin for ever in its clean-up when a
 * TLS connection was given up while half made (seen in `CleanupHandles`, after hundreds of broken connections).
 */
export function exitWhenIdle(): void {
  process.once('beforeExit', () => process.exit());
}
