/** `npm run soak`: nodes in network namespaces under chance and misfortune, held to what they promise. */
import { inspect } from 'node:util'
import { parseOptions, usage } from './options.ts'
import { soak } from './soak.ts'

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if ('wrong' in options) {
    process.stderr.write(`${options.wrong}\n\n${usage}`)
    return 2
  }
  return (await soak(options)) ? 0 : 1
}

// Ends by itself, so that the nodes are ended with it.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`the soak itself failed: ${inspect(error)}\n`)
  process.exitCode = 3
}
