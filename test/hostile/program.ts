/**
 * A hostile member as a program, for real nodes on hosts of their own:
 *
 *     node test/hostile/program.ts TOKEN ATTACK TIMES [IDENTITIES]
 *
 * It dials every address of the token, attacks each member that it reaches, under so many identities one after the other,
 * and ends.
 */
import { parseToken } from '../../src/swarm/swarm.ts'
import { type AttackName, attacks } from './attacks.ts'
import { openHostileMember } from './member.ts'

const [token = '', name = '', times = '1', identities = '1'] = process.argv.slice(2)
if (!Object.hasOwn(attacks, name)) {
  throw new Error(`there is no attack "${name}"; it is one of ${Object.keys(attacks).join(', ')}`)
}
const cluster = parseToken(token)
// A node that stops waits for timers which do not keep the process.
const alive = setInterval(() => undefined, 1000)
for (let n = 0; n < Number(identities); n++) {
  await using stack = new AsyncDisposableStack()
  const member = await openHostileMember(stack, { cluster })
  for (const address of cluster.bootstrap) {
    const peer = await member.dial(address)
    await attacks[name as AttackName](member, peer, { times: Number(times) })
    process.stdout.write(`${member.peer} did ${name} to ${peer}\n`)
  }
}
clearInterval(alive)
