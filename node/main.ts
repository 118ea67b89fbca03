#!/usr/bin/env node
/** The `shoal` program. */
import { enableCompileCache } from 'node:module'

// Half of a cold start is compiling modules; the cache keeps what V8 made of them.
enableCompileCache()
const { run } = await import('./cli.ts')
process.exitCode = await run(process.argv.slice(2))
