/** What a suite needs of the machine; where it is missing, the suite is skipped and the run says why. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makesControlGroups } from './control-group.ts'

/** Folders of daemons, which an ordinary user's PATH often leaves out, and that of docker's plugins. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/libexec/docker/cli-plugins']

export interface Requirement {
  skip?: true
  meta?: { lacks: string }
}

/**
 * Options for `describe` or `test`: skips it, with the reason, unless each need is met. A need is `linux`, `root`,
 * `control groups`, `overlays` (in the temporary folder), `shoal` (a Shoal node as the registry under test), or the name of a
 * program.
 */
export function requires(...needs: string[]): Requirement {
  const lacking = needs.filter((need) => !isMet(need))
  if (lacking.length === 0) return {}
  return { skip: true, meta: { lacks: `lacks ${lacking.map(nameOf).join(', ')}` } }
}

/** The full path of a program, or `undefined` when it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), ...SYSTEM_FOLDERS]
  return folders.map((folder) => path.join(folder, name)).find(isExecutable)
}

function nameOf(need: string): string {
  return need === 'shoal' ? 'a Shoal node as the registry under test' : need
}

function isMet(need: string): boolean {
  if (need === 'linux') return process.platform === 'linux'
  if (need === 'root') return process.getuid?.() === 0
  if (need === 'control groups') return makesControlGroups()
  if (need === 'overlays') return mountsOverlays()
  if (need === 'shoal') return process.env.E2E_REGISTRY !== 'docker-registry'
  return findProgram(need) !== undefined
}

function mountsOverlays(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), 'shoal-e2e-overlay-'))
  try {
    const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => {
      mkdirSync(path.join(folder, name))
      return path.join(folder, name)
    })
    const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
    if (spawnSync('mount', ['-t', 'overlay', '-o', options, 'overlay', `${merged}`]).status !== 0)
      return false
    spawnSync('umount', [`${merged}`])
    return true
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}
