/** Which Shoal this is. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { home } from './home.ts'

interface Package {
  version: string
  engines: { node: string }
}

export async function readPackage(): Promise<Package> {
  return JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as Package
}

export async function readVersion(): Promise<string> {
  return (await readPackage()).version
}
