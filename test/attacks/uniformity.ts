/** The place of the true candidate when the best score comes first; among equals, any place is as likely. */
export function rankOf(truth: number, scores: readonly number[]): number {
  const own = scores[truth] as number;
  const better = scores.filter((score) => score > own).length;
  const equal = scores.filter((score) => score === own).length;
  return better + Math.floor(Math.random() * equal);
}

/** The largest distance between the distribution of ranks 0 to `size` - 1 and the uniform one (Kolmogorov–Smirnov). */
export function distanceFromUniform(ranks: readonly number[], size: number): number {
  const gaps = Array.from({ length: size }, (_, rank) => {
    const share = ranks.filter((other) => other <= rank).length / ranks.length;
    return Math.abs(share - (rank + 1) / size);
  });
  return Math.max(...gaps);
}

/** Uniform ranks exceed this distance at most once in a million runs: the inequality of Dvoretzky, Kiefer, Wolfowitz and Massart. */
export const chance = (trials: number): number => Math.sqrt(Math.log(2 / 1e-6) / (2 * trials));
