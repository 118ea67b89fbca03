#!/usr/bin/env -S MALLOC_MMAP_THRESHOLD_=131072 MALLOC_ARENA_MAX=2 GLIBC_TUNABLES=glibc.malloc.tcache_max=20480 node --max-semi-space-size=8 --heap-growing-percent=150 --expose-gc
/** The `shoal` program. */
import module from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

const neededMajor = 24

// Before anything else is loaded: on an older Node that would end in a stack trace instead of words.
if (Number(process.versions.node.split('.')[0]) < neededMajor) {
  process.stderr.write(
    `shoal: this is Node ${process.versions.node}, and Shoal needs ${neededMajor} or newer; install that, or put it first in PATH\n`,
  )
  process.exit(1)
}

// Half of a cold start is compiling modules; the cache keeps what V8 made of them, for the threads too. It holds code,
// so it lies where nobody else writes.
process.env.NODE_COMPILE_CACHE ??= join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'shoal')
module.enableCompileCache(process.env.NODE_COMPILE_CACHE)
// Whoever read the output has seen enough, as `head` has.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})
const { run } = await import('./command-line/cli.ts')
process.exitCode = await run(process.argv.slice(2))
