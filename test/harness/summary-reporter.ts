import { appendFileSync } from 'node:fs';
import type { Reporter, SerializedError, TestModule } from 'vitest/node';

/**
 * Ends the output with one line for each failure, so that the last lines of a log name all of them, and appends "passed failed" to the
 * file named by COUNTS, from which scripts/test.sh makes the last line.
 * A file that does not load and an error outside any test count as failures: no test of theirs would say so. So does a test that did not
 * end, which names the file whose process died.
 */
export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    let passed = 0;
    const failures: string[] = [];
    const fails = (place: string, errors: readonly SerializedError[] = []) =>
      failures.push(`FAILED ${place}: ${errors[0]?.message?.split('\n', 1)[0] ?? 'no message'}`);
    for (const error of unhandled) fails('outside of any test', [error]);
    for (const module of modules) {
      for (const error of module.errors()) fails(module.relativeModuleId, [error]);
      for (const suite of module.children.allSuites())
        for (const error of suite.errors()) fails(`${module.relativeModuleId} > ${suite.fullName}`, [error]);
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') passed++;
        if (state === 'failed') fails(`${module.relativeModuleId} > ${test.fullName}`, errors);
        if (state === 'pending') fails(`${module.relativeModuleId} > ${test.fullName}`, [{ message: 'did not end' }]);
      }
    }
    for (const failure of failures) console.log(failure);
    if (process.env.COUNTS !== undefined) appendFileSync(process.env.COUNTS, `${passed} ${failures.length}\n`);
  }
}
