/** Whether docker on this host is set up so that it can use the node. */
import { readFile } from 'node:fs/promises'
import { type Address, formatAddress } from '../settings/kinds.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'
import { type DockerState, readDocker } from './docker-engine.ts'
import { isLoopback, judgeProxy } from './docker-proxy.ts'

export interface DockerFacts {
  configFile: string
  /** The text of daemon.json; absent when there is none. */
  config?: string
  engine: DockerState
  /** Where the node serves clients. */
  registry: Address
}

export function judgeDocker(facts: DockerFacts): Finding[] {
  const { engine, configFile, registry } = facts
  const config = facts.config === undefined ? {} : parseConfig(facts.config)
  const findings = judgeEngine(engine, facts.config !== undefined)
  if (config === undefined) {
    findings.push(
      fault(
        `${configFile} is not a JSON object: dockerd does not start with it`,
        'mend it, then: systemctl restart docker',
      ),
    )
    return findings
  }
  const problems = [
    ...judgeMirrors(config, facts),
    ...judgeInsecure(config, facts),
    ...judgeSpelling(config, configFile),
    ...judgeProxy(config, engine, registry),
  ]
  return [...findings, ...problems]
}

function judgeEngine(engine: DockerState, isConfigured: boolean): Finding[] {
  if (engine.state === 'answers') return [fine(`docker ${engine.info.version} answers`)]
  if (engine.state === 'forbidden') {
    return [
      note(
        `this user may not use docker at ${engine.socket}`,
        'add the user to the group docker, or use sudo',
      ),
    ]
  }
  const start = 'start it: systemctl start docker; journalctl -u docker says why it does not'
  if (engine.state === 'absent' && !isConfigured)
    return [note(`no dockerd is at ${engine.socket}; podman and others need none`)]
  return [fault(`dockerd does not answer at ${engine.socket}`, start)]
}

type Config = Record<string, unknown>

/** Docker takes an empty file for an empty object. */
function parseConfig(text: string): Config | undefined {
  if (text.trim() === '') return {}
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Config)
      : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function judgeMirrors(config: Config, { engine, configFile, registry }: DockerFacts): Finding[] {
  const mirrors = textsOf(config['registry-mirrors'])
  const findings = mirrors.flatMap((mirror): Finding[] => {
    const url = URL.canParse(mirror) ? new URL(mirror) : undefined
    const right = `http://${formatAddress({ ...registry, host: isLoopback(registry.host) ? 'localhost' : registry.host })}`
    if (url === undefined || !/^https?:$/.test(url.protocol)) {
      return [
        fault(
          `registry-mirrors in ${configFile} has "${mirror}", which is no URL: dockerd does not start with it`,
          `write "${right}"`,
        ),
      ]
    }
    if (url.pathname !== '/' || url.search !== '') {
      return [
        fault(
          `registry-mirrors in ${configFile} has "${mirror}", and a mirror may have no path`,
          `write "${url.origin}"`,
        ),
      ]
    }
    if (!isLoopback(url.hostname)) return []
    if (url.protocol === 'https:') {
      return [
        fault(
          `registry-mirrors in ${configFile} has "${mirror}", and the node speaks plain HTTP`,
          `write "${right}"`,
        ),
      ]
    }
    const port = Number(url.port || 80)
    if (port === registry.port) return []
    return [
      fault(
        `registry-mirrors in ${configFile} has "${mirror}", and the node serves port ${registry.port}`,
        `write "${right}", unless another registry is meant`,
      ),
    ]
  })
  const isUnread =
    engine.state === 'answers' && mirrors.some((mirror) => !engine.info.mirrors.includes(withSlash(mirror)))
  if (findings.length === 0 && isUnread) {
    findings.push(
      fault(`dockerd does not have the registry-mirrors that ${configFile} has`, 'systemctl reload docker'),
    )
  }
  return findings
}

/** As docker writes them. */
function withSlash(mirror: string): string {
  return mirror.endsWith('/') ? mirror : `${mirror}/`
}

function judgeInsecure(config: Config, { configFile, registry }: DockerFacts): Finding[] {
  return textsOf(config['insecure-registries']).flatMap((entry): Finding[] => {
    if (entry.includes('://') || (entry.includes('/') && !/^[0-9a-fA-F:.]+\/\d+$/.test(entry))) {
      const host = entry.replace(/^.*:\/\//, '').replace(/\/.*$/, '')
      return [
        fault(
          `insecure-registries in ${configFile} has "${entry}"; it takes HOST:PORT, so dockerd does not start or ignores it`,
          `write "${host}"`,
        ),
      ]
    }
    const isOwn = entry === `localhost:${registry.port}` || entry === `127.0.0.1:${registry.port}`
    return isOwn
      ? [note(`insecure-registries in ${configFile} has "${entry}", which docker trusts without it`)]
      : []
  })
}

const misspelt: Record<string, string> = {
  'registry-mirror': 'registry-mirrors',
  registry_mirrors: 'registry-mirrors',
  'insecure-registry': 'insecure-registries',
  insecure_registries: 'insecure-registries',
}

function judgeSpelling(config: Config, configFile: string): Finding[] {
  return Object.keys(config).flatMap((key) => {
    const right = misspelt[key]
    if (right === undefined) return []
    return [
      fault(
        `${configFile} has "${key}", which dockerd does not know and does not start with`,
        `write "${right}"`,
      ),
    ]
  })
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

export const docker: Check = {
  name: 'docker',
  async examine({ settings, node, docker: { configFile, socket } }, { signal }) {
    const config = await readConfig(configFile)
    const running = node?.status.running
    const port =
      running === undefined
        ? settings.http.port
        : Number(running.http.slice(running.http.lastIndexOf(':') + 1))
    const host =
      running === undefined
        ? settings.http.host
        : running.http.slice(0, running.http.lastIndexOf(':')).replace(/^\[|\]$/g, '')
    return judgeDocker({
      configFile,
      ...(config === undefined ? {} : { config }),
      engine: await readDocker(socket, signal),
      registry: { host, port },
    })
  },
}

async function readConfig(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isRefusal(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined
    throw error
  }
}
