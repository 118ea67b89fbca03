/** Whether docker on this host is set up so that it can use the node. */
import { readFile } from 'node:fs/promises'
import { BlockList, isIP, isIPv6 } from 'node:net'
import { type Address, formatAddress, isLoopback } from '../settings/kinds.ts'
import { speaksTls } from '../settings/settings.ts'
import { type Check, type Finding, fault, fine, isRefusal, note } from './check.ts'
import { type DockerState, readDocker } from './docker-engine.ts'
import { judgeProxy } from './docker-proxy.ts'

export interface DockerFacts {
  configFile: string
  /** The text of daemon.json; absent when there is none. */
  config?: string
  engine: DockerState
  /** Where the node serves clients. */
  registry: Address & { tls?: boolean }
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
    const scheme = registry.tls === true ? 'https' : 'http'
    const right = `${scheme}://${formatAddress({ ...registry, host: isLoopback(registry.host) ? 'localhost' : registry.host })}`
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
    if (!isLoopback(url.hostname.replace(/^\[|\]$/g, ''))) return []
    if (url.protocol !== `${scheme}:`) {
      const spoken = registry.tls === true ? 'TLS' : 'plain HTTP'
      return [
        fault(
          `registry-mirrors in ${configFile} has "${mirror}", and the node speaks ${spoken}`,
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

function judgeInsecure(config: Config, facts: DockerFacts): Finding[] {
  const entries = textsOf(config['insecure-registries'])
  const misspelt = entries.flatMap((entry): Finding[] => {
    if (entry.includes('://') || (entry.includes('/') && !/^[0-9a-fA-F:.]+\/\d+$/.test(entry))) {
      const host = entry.replace(/^.*:\/\//, '').replace(/\/.*$/, '')
      return [
        fault(
          `insecure-registries in ${facts.configFile} has "${entry}"; it takes HOST:PORT, so dockerd does not start or ignores it`,
          `write "${host}"`,
        ),
      ]
    }
    return []
  })
  if (misspelt.length > 0 || !Array.isArray(config['insecure-registries'])) return misspelt
  return judgeLoopback(entries, facts)
}

/** moby #53868: the key, be it empty, replaces what docker trusts by itself, which is loopback. */
function judgeLoopback(entries: string[], { configFile, engine, registry }: DockerFacts): Finding[] {
  const isReached = isLoopback(registry.host) || registry.host === '0.0.0.0' || registry.host === '::'
  if (registry.tls === true || !isReached) return []
  if (entries.some((entry) => trusts(entry, registry.port))) return []
  const found = `insecure-registries in ${configFile} is set without this node, and dockerd 29.10 and later trust loopback by themselves only where the key is absent`
  const advice = 'remove the key, or add "127.0.0.0/8" and "::1/128" to it, then: systemctl reload docker'
  const isConcerned = engine.state === 'answers' && isFrom(engine.info.version, 29, 10)
  return [isConcerned ? fault(found, advice) : note(found, advice)]
}

/** Whether an entry covers the node's port on loopback: that host and port, or a network. */
function trusts(entry: string, port: number): boolean {
  const [network = '', bits] = entry.split('/')
  if (bits === undefined)
    return ['localhost', '127.0.0.1', '[::1]'].some((host) => entry === `${host}:${port}`)
  const family = isIPv6(network) ? 'ipv6' : 'ipv4'
  if (isIP(network) === 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > (family === 'ipv6' ? 128 : 32))
    return false
  const covered = new BlockList()
  covered.addSubnet(network, Number(bits), family)
  return covered.check(family === 'ipv6' ? '::1' : '127.0.0.1', family)
}

function isFrom(version: string, major: number, minor: number): boolean {
  const [, ofMajor, ofMinor] = /^(\d+)\.(\d+)/.exec(version) ?? []
  return Number(ofMajor) > major || (Number(ofMajor) === major && Number(ofMinor) >= minor)
}

const misspeltKeys: Record<string, string> = {
  'registry-mirror': 'registry-mirrors',
  registry_mirrors: 'registry-mirrors',
  'insecure-registry': 'insecure-registries',
  insecure_registries: 'insecure-registries',
}

function judgeSpelling(config: Config, configFile: string): Finding[] {
  return Object.keys(config).flatMap((key) => {
    const right = misspeltKeys[key]
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
      registry: { host, port, tls: running === undefined ? speaksTls(settings) : running.scheme === 'https' },
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
