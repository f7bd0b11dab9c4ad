import { InvalidArgumentError } from 'commander';

export function integer(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

/** An option that may be given again, as `index=value`. */
export function ofReplica(value: string, before: Record<number, string>): Record<number, string> {
  const [, index, given] = /^([1-9])=(.+)$/.exec(value) ?? [];
  if (index === undefined || given === undefined) throw new InvalidArgumentError('It must be index=value, as 2=nss-softokn.');
  return { ...before, [index]: given };
}

export function urls(value: string): string[] {
  return value.split(',').map((url) => {
    if (!/^https:\/\/[^/\s]+$/.test(url)) throw new InvalidArgumentError('Each must be https://host:port, separated by commas.');
    return url;
  });
}
