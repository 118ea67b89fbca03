/**
 * What is used of node:http. An import of that module reads all that it exports, and so loads Node's own undici and HTTP/2: 6 MiB and
 * as many milliseconds for what nothing here uses.
 */
export const { createServer, get, request, validateHeaderName, validateHeaderValue } =
  process.getBuiltinModule('node:http')
