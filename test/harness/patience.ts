/**
 * For `vi.waitFor`, where another thread, process or disk must do something first. How long that takes is nobody's promise on a machine that
 * does other things too: this ends a test that waits for what never comes.
 */
export const PATIENCE = { timeout: 120_000, interval: 20 } as const;
