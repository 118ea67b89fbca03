/** A bare node:http server that answers everything with the bytes of a small manifest: what no registry on Node can exceed. */
import { createServer } from 'node:http'
import type { Subject } from './subject.ts'

const bodyBytes = 1800

export const bareHttp: Subject = {
  name: 'node:http',
  version: async () => process.version,
  async prepare({ httpPort }) {
    return { file: process.execPath, args: [import.meta.filename, String(httpPort)] }
  },
}

function serve(port: number): void {
  const digest = `sha256:${'0'.repeat(64)}`
  const headers = {
    'Docker-Distribution-Api-Version': 'registry/2.0',
    'Content-Type': 'application/vnd.oci.image.manifest.v1+json',
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Content-Length': bodyBytes,
  }
  const body = 'x'.repeat(bodyBytes)
  createServer((request, response) => {
    response.writeHead(200, headers)
    if (request.method === 'HEAD') response.end()
    else response.end(body, 'latin1')
  }).listen(port, '127.0.0.1')
}

if (import.meta.main) serve(Number(process.argv[2]))
