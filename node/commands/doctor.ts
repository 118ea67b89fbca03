/** `shoal doctor`: looks for what usually goes wrong, and says what to do. */
import { CodedError } from '../../src/base/base.ts'
import { callRunningNode, SocketForbiddenError } from '../admin/client.ts'
import { type CalledPeers, calledBy, calledIn } from '../command-line/called.ts'
import { defineCommand, json } from '../command-line/command.ts'
import { type Surroundings, usualDocker } from '../doctor/check.ts'
import { type Diagnosis, diagnose, diagnosesInWords } from '../doctor/doctor.ts'
import type { Reach } from '../operations/reach.ts'
import type { NodeStatus } from '../operations/status.ts'
import { renderDiagnoses } from '../screen/doctor-screen.ts'
import { print, printJson } from '../screen/output.ts'
import { path } from '../settings/kinds.ts'
import type { Settings } from '../settings/settings.ts'

const { configFile: defaultConfigFile, socket: defaultSocket } = usualDocker

export const command = defineCommand({
  usage: ['doctor [--json]'],
  about: `
Looks for what usually goes wrong: the runtime, the node's process, its data directory, secrets, disk, stored content,
ports, the network and the members, the clock, upstreams, and docker's configuration. Says of each what it found and what to
do. Works without a running node too. Exits 1 when it found a fault; a note is good to know and none.`,
  flags: {
    'docker-config': {
      kind: path,
      value: 'FILE',
      help: `docker's configuration (default ${defaultConfigFile})`,
    },
    'docker-socket': {
      kind: path,
      value: 'FILE',
      help: `dockerd's socket (default that of $DOCKER_HOST, or ${defaultSocket})`,
    },
    json,
  },
  settings: ['data', 'http', 'p2p'],
  maxWords: 0,
  examples: [
    ['doctor', 'what is wrong here?'],
    ['doctor --http 127.0.0.1:5050', 'would that port do?'],
  ],
  async run({ settings, flags }) {
    const asked = await askNode(settings.data)
    const isAnothersNode = asked === 'forbidden'
    const node = asked === 'forbidden' ? undefined : asked
    const diagnoses = await diagnose({
      settings,
      isAnothersNode,
      ...(node === undefined ? {} : { node }),
      docker: {
        configFile: flags['docker-config'] ?? defaultConfigFile,
        socket: flags['docker-socket'] ?? socketOf(process.env.DOCKER_HOST) ?? defaultSocket,
      },
    })
    const faults = diagnoses.filter(({ level }) => level === 'fault').length
    if (flags.json) printJson({ faults, findings: diagnoses })
    else {
      const known = { isAnothersNode, ...(node === undefined ? {} : { node }) }
      const { inWords } = await namesIn(settings, known, diagnoses)
      print(renderDiagnoses(diagnosesInWords(diagnoses, inWords), { isAnothersNode }))
    }
    return faults === 0 ? 0 : 1
  },
})

async function askNode(data: string): Promise<Surroundings['node'] | 'forbidden'> {
  try {
    const ask = async (operation: string) => await callRunningNode(data, operation, {}, () => undefined)
    const status = (await ask('status'))?.result as NodeStatus | undefined
    const reach = (await ask('reach'))?.result as Reach | undefined
    return status === undefined || reach === undefined ? undefined : { status, reach }
  } catch (error) {
    // The check of the node says so.
    if (error instanceof SocketForbiddenError) return 'forbidden'
    throw error
  }
}

const ofData = ['data', 'secrets', 'disk', 'content', 'database']

/** Ids stay where data is not opened: another's, or that of a stopped node in which something was just found to be wrong. */
async function namesIn(
  settings: Settings,
  { node, isAnothersNode }: Pick<Surroundings, 'node' | 'isAnothersNode'>,
  diagnoses: Diagnosis[],
): Promise<CalledPeers> {
  if (node !== undefined) return await calledIn(settings, diagnoses)
  const isBroken = diagnoses.some(({ check, level }) => level === 'fault' && ofData.includes(check))
  if (isBroken || isAnothersNode) return calledBy({})
  try {
    return await calledIn(settings, diagnoses)
  } catch (error) {
    if (!(error instanceof CodedError)) throw error
    return calledBy({})
  }
}

function socketOf(dockerHost: string | undefined): string | undefined {
  return dockerHost?.startsWith('unix://') ? dockerHost.slice('unix://'.length) : undefined
}
