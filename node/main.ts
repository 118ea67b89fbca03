#!/usr/bin/env node
/** The `shoal` program. */
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

// Half of a cold start is compiling modules; the cache keeps what V8 made of them, for the threads too. It holds code,
// so it lies where nobody else writes.
process.env.NODE_COMPILE_CACHE ??= join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'shoal')
enableCompileCache(process.env.NODE_COMPILE_CACHE)
const { run } = await import('./cli.ts')
process.exitCode = await run(process.argv.slice(2))
