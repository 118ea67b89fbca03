import { memoryStore } from '../../../src/store/store.ts'
import { itIsAStore } from '../contract/contract.ts'

itIsAStore('the memory store', async (setup) => {
  const store = memoryStore(setup)
  return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
})
