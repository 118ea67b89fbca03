/**
 * Makes a Debian package that brings its own Node, since Debian's is older than Shoal needs:
 * `npm run deb -- [--out DIR] [--fast]`, after `npm ci`. It prints the package's path. `--fast` does not compress.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { productiveModules } from './modules.ts'

const checkout = path.join(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: { out: { type: 'string', default: '.' }, fast: { type: 'boolean' } },
})
const { version, description } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as Record<
  string,
  string
>
const architecture = process.arch === 'x64' ? 'amd64' : process.arch
const root = mkdtempSync(path.join(tmpdir(), 'shoal-deb-'))
try {
  chmodSync(root, 0o755)
  step('building the program and its page')
  run('npm', 'run', '--silent', 'build')
  step('gathering the program, its modules and its Node')
  placeProgram()
  placeService()
  placeDocuments()
  writeControl()
  const file = path.resolve(values.out, `shoal_${version}_${architecture}.deb`)
  const compression = values.fast === true ? ['-Znone'] : ['-Zxz']
  step(values.fast === true ? 'packing' : 'packing and compressing, which takes a minute')
  run('dpkg-deb', '--root-owner-group', ...compression, '--build', root, file)
  console.log(file)
} finally {
  rmSync(root, { recursive: true })
}

/** On standard error: what is printed is the package's path alone. */
function step(what: string): void {
  console.error(`${new Date().toTimeString().slice(0, 8)} ${what}`)
}

function placeProgram(): void {
  for (const folder of ['dist/node', 'dist/page']) place(folder, `usr/lib/shoal/${folder}`)
  place('package.json', 'usr/lib/shoal/package.json')
  for (const folder of productiveModules(checkout)) place(folder, `usr/lib/shoal/${folder}`, { flat: true })
  cpSync(process.execPath, to('usr/lib/shoal/bin/node'))
  place('deploy/debian/shoal', 'usr/bin/shoal', { mode: 0o755 })
}

function placeService(): void {
  place('deploy/systemd/shoal.service', 'usr/lib/systemd/system/shoal.service')
  place('deploy/systemd/shoal.sysusers', 'usr/lib/sysusers.d/shoal.conf')
  place('deploy/debian/default', 'etc/default/shoal', { mode: 0o640 })
}

function placeDocuments(): void {
  for (const name of ['README.md', 'CHANGELOG.md', 'docs']) place(name, `usr/share/doc/shoal/${name}`)
  place('deploy/debian/copyright', 'usr/share/doc/shoal/copyright')
  cpSync(nodeLicense(), to('usr/share/doc/shoal/node.LICENSE'))
}

/** It has to go where the binary goes: beside it in Node's own archives, deeper down in the package that brings it. */
function nodeLicense(): string {
  const brought = `node_modules/node/node_modules/node-${process.platform}-${process.arch}/LICENSE`
  const found = [path.join(path.dirname(process.execPath), '../LICENSE'), at(brought)].find(existsSync)
  if (found === undefined) throw new Error('the licence of this Node was not found; run npm ci first')
  return found
}

function writeControl(): void {
  for (const name of ['postinst', 'prerm', 'postrm'])
    place(`deploy/debian/${name}`, `DEBIAN/${name}`, { mode: 0o755 })
  writeFileSync(to('DEBIAN/conffiles'), '/etc/default/shoal\n')
  const fields = {
    Package: 'shoal',
    Version: version,
    Architecture: architecture,
    Maintainer: 'The Shoal authors <shoal@localhost>',
    Section: 'admin',
    Priority: 'optional',
    Depends: 'libc6 (>= 2.28), libstdc++6, libgcc-s1, systemd',
    Description: description,
  }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`)
  writeFileSync(to('DEBIAN/control'), lines.join(''))
}

/** Copies from the checkout; `flat` leaves nested modules out, which are placed by themselves. */
function place(from: string, target: string, options: { mode?: number; flat?: boolean } = {}): void {
  const source = at(from)
  const nested = path.join(source, 'node_modules')
  const filter = (name: string) => !(options.flat === true && name === nested)
  cpSync(source, to(target), { recursive: true, filter })
  if (options.mode !== undefined) chmodSync(to(target), options.mode)
}

function at(name: string): string {
  return path.join(checkout, name)
}

/** A path in the package; its folder is made. */
function to(name: string): string {
  const target = path.join(root, name)
  mkdirSync(path.dirname(target), { recursive: true })
  return target
}

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { cwd: checkout, stdio: ['ignore', 'ignore', 'inherit'] })
}
