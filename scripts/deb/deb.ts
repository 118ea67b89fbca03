/**
 * Makes a Debian package that brings its own Node, since Debian's is older than Shoal needs:
 * `npm run deb -- [--out DIR] [--arch x64|arm64] [--fast]`, after `npm ci`. It prints the package's path. `--fast` does not compress.
 * For another architecture than this host's its Node comes from npm's registry, and no test tries the package.
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
import { isLeftover } from '../program/replace.ts'
import { modulesLacking, productiveModules } from './modules.ts'

const checkout = path.join(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: {
    out: { type: 'string', default: '.' },
    arch: { type: 'string', default: process.arch },
    fast: { type: 'boolean' },
  },
})
const { version, description } = JSON.parse(readFileSync(at('package.json'), 'utf8')) as Record<
  string,
  string
>
const { arch } = values
if (arch !== 'x64' && arch !== 'arm64') throw new Error(`--arch is x64 or arm64, not ${arch}`)
const architecture = arch === 'x64' ? 'amd64' : arch
const root = mkdtempSync(path.join(tmpdir(), 'shoal-deb-'))
const fetched = mkdtempSync(path.join(tmpdir(), 'shoal-node-'))
try {
  chmodSync(root, 0o755)
  step('building the program and its page')
  run('npm', 'run', '--silent', 'build')
  const node = arch === process.arch ? ownNode() : foreignNode()
  step('gathering the program, its modules and its Node')
  placeProgram(node)
  placeService()
  placeDocuments(node)
  writeControl()
  const file = path.resolve(values.out, `shoal_${version}_${architecture}.deb`)
  const compression = values.fast === true ? ['-Znone'] : ['-Zxz']
  step(values.fast === true ? 'packing' : 'packing and compressing, which takes a minute')
  run('dpkg-deb', '--root-owner-group', ...compression, '--build', root, file)
  console.log(file)
} finally {
  for (const folder of [root, fetched]) rmSync(folder, { recursive: true })
}

/** On standard error: what is printed is the package's path alone. */
function step(what: string): void {
  console.error(`${new Date().toTimeString().slice(0, 8)} ${what}`)
}

function placeProgram(node: BroughtNode): void {
  for (const folder of ['dist/node', 'dist/page']) place(folder, `usr/lib/shoal/${folder}`)
  place('package.json', 'usr/lib/shoal/package.json')
  const modules = productiveModules(checkout)
  const lacking = modulesLacking(checkout, modules, arch)
  if (lacking.length > 0) throw new Error(`these have no machine code for ${arch}: ${lacking.join(', ')}`)
  for (const folder of modules) place(folder, `usr/lib/shoal/${folder}`, { flat: true })
  cpSync(node.program, to('usr/lib/shoal/bin/node'))
  place('deploy/debian/shoal', 'usr/bin/shoal', { mode: 0o755 })
}

function placeService(): void {
  place('deploy/systemd/shoal.service', 'usr/lib/systemd/system/shoal.service')
  place('deploy/systemd/shoal.sysusers', 'usr/lib/sysusers.d/shoal.conf')
  place('deploy/debian/default', 'etc/default/shoal', { mode: 0o640 })
}

function placeDocuments(node: BroughtNode): void {
  for (const name of ['README.md', 'CHANGELOG.md', 'docs']) place(name, `usr/share/doc/shoal/${name}`)
  place('deploy/debian/copyright', 'usr/share/doc/shoal/copyright')
  cpSync(node.license, to('usr/share/doc/shoal/node.LICENSE'))
}

interface BroughtNode {
  program: string
  /** It has to go where the program goes. */
  license: string
}

/** Of this host: the licence lies beside it in Node's own archives, deeper down in the package that brings it. */
function ownNode(): BroughtNode {
  const brought = `node_modules/node/node_modules/node-${process.platform}-${process.arch}/LICENSE`
  const license = [path.join(path.dirname(process.execPath), '../LICENSE'), at(brought)].find(existsSync)
  if (license === undefined) throw new Error('the licence of this Node was not found; run npm ci first')
  return { program: process.execPath, license }
}

/** The same version for another architecture, as the package `node` has it; npm compares its hash with the registry's. */
function foreignNode(): BroughtNode {
  const name = `node-linux-${arch}@${process.versions.node}`
  step(`fetching ${name}`)
  const folder = path.join(fetched, 'package')
  const file = run('npm', 'pack', '--silent', '--pack-destination', fetched, name).trim()
  run('tar', '--extract', '--file', path.join(fetched, file), '--directory', fetched)
  return { program: path.join(folder, 'bin/node'), license: path.join(folder, 'LICENSE') }
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

/** Copies from the checkout, without what a build left over; `flat` leaves nested modules out, which are placed by themselves. */
function place(from: string, target: string, options: { mode?: number; flat?: boolean } = {}): void {
  const source = at(from)
  const nested = path.join(source, 'node_modules')
  const isBuilt = from === 'dist/node'
  const filter = (name: string) =>
    !(options.flat === true && name === nested) && !(isBuilt && isLeftover(source, path.basename(name)))
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

/** Returns what it prints. */
function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, {
    cwd: checkout,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}
