/** The container image, built from the Containerfile of this checkout over a base that is made of this machine's files. */
import { cp, mkdir, realpath, symlink } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'
import { findProgram } from './requirement.ts'
import type { ScratchFolder } from './scratch-folder.ts'

const checkout = path.join(import.meta.dirname, '../..')
const base = 'localhost/base:test'
const name = 'localhost/shoal:test'

/** What the Containerfile's commands run, besides Node. */
const programs = ['sh', 'env', 'ln', 'chmod', 'mkdir', 'chown', 'rm']

/** Builds the image and writes it to an archive for `docker load`; no registry is asked for anything. */
export async function buildImage(folder: ScratchFolder): Promise<{ archive: string; name: string }> {
  const storage = [
    '--root',
    folder.at('storage'),
    '--runroot',
    folder.at('run'),
    '--storage-driver',
    'overlay',
  ]
  const { stdout: cache } = await run('npm', ['config', 'get', 'cache'])
  await makeBase(folder, storage)
  const build = ['build', '--quiet', '--format', 'docker', '--isolation', 'chroot', '--network', 'host']
  // A test may run where these limits must not be raised, as the builder would by default.
  const limits = ['--ulimit', 'nofile=4096:4096', '--ulimit', 'nproc=4096:4096']
  const what = ['--build-arg', `BASE=${base}`, '--volume', `${cache.trim()}:/npm-cache`, '--tag', name]
  const file = ['--file', path.join(checkout, 'Containerfile'), checkout]
  await run('buildah', [...storage, ...build, ...limits, ...what, ...file], { timeoutMs: 240_000 })
  const archive = folder.at('image.tar')
  await run('buildah', [...storage, 'push', '--quiet', name, `docker-archive:${archive}:${name}`])
  return { archive, name }
}

/** Node, npm and a shell: what the official Node image has, as far as the Containerfile uses it. */
async function makeBase(folder: ScratchFolder, storage: string[]): Promise<void> {
  const root = folder.at('rootfs')
  await mkdir(path.join(root, 'usr/local/bin'), { recursive: true })
  await mkdir(path.join(root, 'tmp'))
  const paths = programs.map((program) => {
    const found = findProgram(program)
    if (found === undefined) throw new Error(`${program} is not installed`)
    return found
  })
  const { stdout } = await run('ldd', [process.execPath, ...paths])
  const libraries = new Set([...stdout.matchAll(/\/\S+\.so\S*(?= \()/g)].map(([library]) => library))
  const libc = [...libraries].find((library) => library.endsWith('/libc.so.6'))
  // A part of the C library that addons ask for and none of the programs does.
  if (libc !== undefined) libraries.add(path.join(path.dirname(libc), 'librt.so.1'))
  await run('cp', ['--dereference', '--parents', ...paths, ...libraries, root])
  await symlink('usr/bin', path.join(root, 'bin'))
  await cp(process.execPath, path.join(root, 'usr/local/bin/node'))
  const npm = path.dirname(path.dirname(await realpath(findProgram('npm') ?? 'npm')))
  await cp(npm, path.join(root, 'usr/local/lib/node_modules/npm'), { recursive: true })
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', path.join(root, 'usr/local/bin/npm'))
  await run('tar', ['--create', '--file', folder.at('base.tar'), '--directory', root, '.'])
  const environment = {
    PATH: '/usr/local/bin:/usr/bin',
    npm_config_cache: '/npm-cache',
    npm_config_offline: 'true',
  }
  const changes = Object.entries(environment).flatMap(([key, value]) => ['--change', `ENV=${key}=${value}`])
  await run('podman', [...storage, 'import', '--quiet', ...changes, folder.at('base.tar'), base])
}
