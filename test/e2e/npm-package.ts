/** Shoal as npm packs it, and as it installs what it packed. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'

const checkout = path.join(import.meta.dirname, '../..')

interface PackageJson {
  version: string
  bin: Record<string, string>
  dependencies: Record<string, string>
}

interface LockFile {
  packages: Record<string, { dev?: true }>
}

/** Builds the package of this checkout and returns the path of its tarball, with the files in it. */
export async function packPackage(folder: string): Promise<{ tarball: string; files: string[] }> {
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
    cwd: checkout,
  })
  const packed = Object.values(JSON.parse(stdout)) as { filename: string; files: { path: string }[] }[]
  const [only] = packed
  if (only === undefined) throw new Error('npm packed nothing')
  return { tarball: path.join(folder, only.filename), files: only.files.map((file) => file.path) }
}

/**
 * Installs the tarball into an empty folder, with the dependencies of this checkout's lock file: all of them are in npm's
 * cache, so no registry is asked.
 */
export async function installPackage(tarball: string, folder: string): Promise<void> {
  const shoal = await readJson<PackageJson>('package.json')
  const { packages, ...lock } = await readJson<LockFile>('package-lock.json')
  const { version, bin, dependencies } = shoal
  const manifest = { dependencies: { shoal: `file:${tarball}` } }
  const productive = Object.entries(packages).filter(([name, { dev }]) => name !== '' && dev !== true)
  const installed = {
    '': manifest,
    'node_modules/shoal': { version, resolved: `file:${tarball}`, bin, dependencies },
    ...Object.fromEntries(productive),
  }
  await writeFile(path.join(folder, 'package.json'), JSON.stringify(manifest))
  await writeFile(path.join(folder, 'package-lock.json'), JSON.stringify({ ...lock, packages: installed }))
  await run('npm', ['ci', '--prefer-offline', '--ignore-scripts', '--silent'], { cwd: folder })
}

async function readJson<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(path.join(checkout, name), 'utf8')) as T
}
