/**
 * What `shoal doctor` looks at. Each check is a file of its own in two parts: one that looks (files, ports, the running node)
 * and a pure one that judges what was seen, and says it in words.
 */
import type { Reach } from '../operations/reach.ts'
import type { NodeStatus } from '../operations/status.ts'
import type { Settings } from '../settings/settings.ts'

export interface Finding {
  /** `fine` is as it should be, a `note` is good to know, a `fault` is to be mended. */
  level: 'fine' | 'note' | 'fault'
  /** In words, on one line. */
  found: string
  /** What to do about it. */
  advice?: string
}

/** What the checks look at. */
export interface Surroundings {
  settings: Settings
  /** Whether another user's node runs on the data directory, which this one may not ask. */
  isAnothersNode?: boolean
  /** What the running node says; absent when none runs, or when it does not let this user ask. */
  node?: { status: NodeStatus; reach: Reach }
  /** Docker's own configuration and its socket. */
  docker: { configFile: string; socket: string }
}

/** Where docker's configuration and its socket are unless somebody moved them. */
export const usualDocker: Surroundings['docker'] = {
  configFile: '/etc/docker/daemon.json',
  socket: '/var/run/docker.sock',
}

export interface Check {
  readonly name: string
  /** Looks and judges. What cannot be looked at is said in a finding; it throws for what nobody foresaw. */
  examine(surroundings: Surroundings, options: { signal: AbortSignal }): Promise<Finding[]>
}

export function fine(found: string): Finding {
  return { level: 'fine', found }
}

export function note(found: string, advice?: string): Finding {
  return { level: 'note', found, ...(advice === undefined ? {} : { advice }) }
}

export function fault(found: string, advice: string): Finding {
  return { level: 'fault', found, advice }
}

/** Whether the system refused it with one of these codes. */
export function isRefusal(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
