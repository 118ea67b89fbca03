/**
 * Lets what runs outside a network namespace reach a port of its loopback: listens on a Unix socket, which namespaces do
 * not separate, and connects each connection with 127.0.0.1. Arguments: the socket's path, the port.
 */
import { connect, createServer } from 'node:net'

const [path = '', port = ''] = process.argv.slice(2)

const server = createServer((outside) => {
  const inside = connect(Number(port), '127.0.0.1')
  outside.pipe(inside).pipe(outside)
  // Whatever ends one side ends the other: the client sees what it would see without a door.
  outside.on('error', () => inside.destroy()).on('close', () => inside.destroy())
  inside.on('error', () => outside.destroy()).on('close', () => outside.destroy())
})
server.listen(path, () => process.stdout.write('open\n'))
