/** Which Shoal this is. */
import { readFile } from 'node:fs/promises'

/** From the package, which lies one level higher when this runs as it was built. */
export async function readVersion(): Promise<string> {
  const up = import.meta.url.endsWith('.ts') ? '../package.json' : '../../package.json'
  const { version } = JSON.parse(await readFile(new URL(up, import.meta.url), 'utf8')) as { version: string }
  return version
}
