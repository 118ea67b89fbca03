/** Module hooks: TypeScript becomes JavaScript as it is loaded, each token where it stood. */
import { readFile } from 'node:fs/promises'
import { type LoadHook, stripTypeScriptTypes } from 'node:module'
import { fileURLToPath } from 'node:url'

export const load: LoadHook = async (url, context, nextLoad) => {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await nextLoad(url, context)
  const source = stripTypeScriptTypes(await readFile(fileURLToPath(url), 'utf8'))
  return { format: 'module', source, shortCircuit: true }
}
