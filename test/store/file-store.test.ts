import { itIsAStore } from './contract/contract.ts'
import { openAt, temporaryFolder } from './scenery.ts'

itIsAStore('the file store', async (setup) => {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder())
  const { store } = stack.use(await openAt(folder.path, setup))
  const kept = stack.move()
  return { store, [Symbol.asyncDispose]: () => kept.disposeAsync() }
})
