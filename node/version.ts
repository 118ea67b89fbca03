/** Which Shoal this is. */
import { readFile } from 'node:fs/promises'

interface Package {
  version: string
  engines: { node: string }
}

/** The package lies one level higher when this runs as it was built. */
export async function readPackage(): Promise<Package> {
  const up = import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json'
  return JSON.parse(await readFile(new URL(up, import.meta.url), 'utf8')) as Package
}

export async function readVersion(): Promise<string> {
  return (await readPackage()).version
}
