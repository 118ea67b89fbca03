/** `first-byte.ts URL`: prints the status and after how many milliseconds the first byte of the body came, a token not counted; then it leaves. */
import http, { type IncomingMessage } from 'node:http'

const [, , url = ''] = process.argv

function get(headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => http.get(url, { headers }, resolve).once('error', reject))
}

/** As the registry's challenge says. */
async function tokenFor(challenge: string): Promise<string> {
  const field = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1] ?? ''
  const query = new URLSearchParams({ service: field('service'), scope: field('scope') })
  const answer = await fetch(`${field('realm')}?${query}`)
  const { token } = (await answer.json()) as { token: string }
  return token
}

const headers: Record<string, string> = {}
if (process.argv.includes('--token')) {
  const { headers: told } = await get({})
  headers.authorization = `Bearer ${await tokenFor(told['www-authenticate'] ?? '')}`
}
const startedAt = performance.now()
const response = await get(headers)
await new Promise((resolve) => response.once('data', resolve).once('end', resolve))
process.stdout.write(`${response.statusCode} ${performance.now() - startedAt}\n`)
process.exit()
