/** The proxies of the environment, as curl and most programs read them. */
import { CodedError } from '../base/base.ts'

/** A variable of the environment names no proxy that can be used. The message does not quote it: it may hold a password. */
export class ProxySettingError extends CodedError {
  readonly code = 'PROXY_SETTING'
}

/** An empty text is no proxy. */
export interface Proxies {
  httpProxy: string
  httpsProxy: string
  noProxy: string
}

/** Throws ProxySettingError. */
export function readProxies(environment: NodeJS.ProcessEnv): Proxies {
  return {
    httpProxy: readProxy(environment, 'http_proxy'),
    httpsProxy: readProxy(environment, 'https_proxy'),
    noProxy: readVariable(environment, 'no_proxy'),
  }
}

function readProxy(environment: NodeJS.ProcessEnv, name: string): string {
  const given = readVariable(environment, name)
  if (given === '') return ''
  const url = URL.parse(given.includes('://') ? given : `http://${given}`)
  if (url !== null && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '') return url.href
  throw new ProxySettingError(
    `${name.toUpperCase()} is not the URL of a proxy; expected http:// or https:// with a host and a port, such as http://proxy.example:3128`,
  )
}

/** In lower case first, as curl has it. */
function readVariable(environment: NodeJS.ProcessEnv, name: string): string {
  return environment[name] ?? environment[name.toUpperCase()] ?? ''
}
