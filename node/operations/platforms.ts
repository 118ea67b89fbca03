/** The platforms of an index: its descriptors, each with the words that `docker --platform` takes. */
import { type Descriptor, type Json, type JsonObject, parseJson } from '../../src/oci/oci.ts'

export interface PlatformDescriptor extends Descriptor {
  /** Such as `linux/arm64/v8`. */
  platform?: string
}

/** `manifests` are the index's descriptors as they were parsed from `bytes`, in the same order. */
export function readPlatforms(bytes: Uint8Array, manifests: Descriptor[]): PlatformDescriptor[] {
  const document = objectOf(parseJson(bytes))
  const listed = Array.isArray(document.manifests) ? document.manifests : []
  return manifests.map((descriptor, index) => {
    const platform = platformOf(objectOf(listed[index]))
    return platform === undefined ? descriptor : { ...descriptor, platform }
  })
}

function platformOf({ platform }: JsonObject): string | undefined {
  const { os, architecture, variant } = objectOf(platform)
  const parts = [os, architecture, variant].filter((part) => typeof part === 'string' && part !== '')
  return parts.length === 0 ? undefined : parts.join('/')
}

function objectOf(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
}
