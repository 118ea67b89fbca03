/** What an image says about itself in its config (OCI image-spec, "Image Configuration"), read leniently: it is only shown. */
import { type Json, type JsonObject, parseJson } from '../../src/oci/oci.ts'

export interface ImageConfig {
  os?: string
  architecture?: string
  variant?: string
  created?: string
  author?: string
  user?: string
  workingDir?: string
  stopSignal?: string
  entrypoint: string[]
  command: string[]
  /** Names alone: values may be secrets. */
  environment: string[]
  ports: string[]
  volumes: string[]
  labels: Record<string, string>
  /** How each layer was made, in the order of the layers; `undefined` where the history does not say. */
  layers: (LayerHistory | undefined)[]
}

export interface LayerHistory {
  created?: string
  createdBy?: string
  comment?: string
}

/** More than anybody reads; what a stranger wrote must not fill a screen or an answer. */
const maxListed = 256
const maxTextLength = 1024

/** `undefined` for what is no JSON object, as the config of an artifact may be anything. */
export function readImageConfig(bytes: Uint8Array, layerCount: number): ImageConfig | undefined {
  const document = parseLeniently(bytes)
  if (document === undefined) return undefined
  const config = objectOf(document.config)
  return {
    ...texts(document, { os: 'os', architecture: 'architecture', variant: 'variant' }),
    ...texts(document, { created: 'created', author: 'author' }),
    ...texts(config, { user: 'User', workingDir: 'WorkingDir', stopSignal: 'StopSignal' }),
    entrypoint: textsOf(config.Entrypoint),
    command: textsOf(config.Cmd),
    environment: textsOf(config.Env).map((entry) => entry.split('=', 1)[0] ?? ''),
    ports: Object.keys(objectOf(config.ExposedPorts)).slice(0, maxListed).map(shorten),
    volumes: Object.keys(objectOf(config.Volumes)).slice(0, maxListed).map(shorten),
    labels: labelsOf(config.Labels),
    layers: layersOf(document.history, layerCount),
  }
}

/** Entries that made no layer are left out; when the rest do not match the layers, nothing is said of any. */
function layersOf(history: Json | undefined, layerCount: number): (LayerHistory | undefined)[] {
  const none = Array.from({ length: layerCount }, () => undefined)
  if (!Array.isArray(history)) return none
  const made = history.map(objectOf).filter((entry) => entry.empty_layer !== true)
  if (made.length !== layerCount) return none
  return made.map((entry) =>
    texts(entry, { created: 'created', createdBy: 'created_by', comment: 'comment' }),
  )
}

function parseLeniently(bytes: Uint8Array): JsonObject | undefined {
  try {
    const parsed = parseJson(bytes)
    return isObject(parsed) ? parsed : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'MANIFEST_INVALID') return undefined
    throw error
  }
}

/** Those of the fields that hold a text, under their own names. */
function texts<K extends string>(object: JsonObject, fields: Record<K, string>): Partial<Record<K, string>> {
  const found: Partial<Record<K, string>> = {}
  for (const name of Object.keys(fields) as K[]) {
    const value = object[fields[name]]
    if (typeof value === 'string' && value !== '') found[name] = shorten(value)
  }
  return found
}

function textsOf(value: Json | undefined): string[] {
  if (!Array.isArray(value)) return []
  return value
    .filter((item) => typeof item === 'string')
    .slice(0, maxListed)
    .map(shorten)
}

function labelsOf(value: Json | undefined): Record<string, string> {
  const entries = Object.entries(objectOf(value)).slice(0, maxListed)
  return Object.fromEntries(
    entries.flatMap(([name, text]) => (typeof text === 'string' ? [[shorten(name), shorten(text)]] : [])),
  )
}

function shorten(text: string): string {
  return text.length <= maxTextLength ? text : `${text.slice(0, maxTextLength)}…`
}

function objectOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
