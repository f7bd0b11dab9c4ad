import { InvalidArgumentError } from 'commander';

export function integer(value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(value);
}

export function urls(value: string): string[] {
  return value.split(',').map((url) => {
    if (!/^https:\/\/[^/\s]+$/.test(url)) throw new InvalidArgumentError('Each must be https://host:port, separated by commas.');
    return url;
  });
}
