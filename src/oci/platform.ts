/** Platforms of an index's manifests (OCI image-spec, "Image Index"): `os/architecture`, with a variant where it matters. */
import type { Json } from './json.ts'

export interface Platform {
  os: string
  architecture: string
  variant?: string
}

const word = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** Reads `linux/arm64` or `linux/arm/v7`; `undefined` for anything else. */
export function parsePlatform(text: string): Platform | undefined {
  const [os, architecture, variant, surplus] = text.split('/')
  if (os === undefined || architecture === undefined || surplus !== undefined) return undefined
  if (![os, architecture, variant ?? 'none'].every((part) => word.test(part))) return undefined
  return { os, architecture, ...(variant === undefined ? {} : { variant }) }
}

export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

/** Reads the `platform` of a descriptor; `undefined` when it says none that makes sense. */
export function readPlatform(value: Json | undefined): Platform | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const { os, architecture, variant } = value
  if (typeof os !== 'string' || typeof architecture !== 'string') return undefined
  return { os, architecture, ...(typeof variant === 'string' && variant !== '' ? { variant } : {}) }
}

/** Whether `given` is what `wanted` asks for; a wanted platform without a variant takes every variant. */
export function fitsPlatform(wanted: Platform, given: Platform): boolean {
  if (wanted.os !== given.os || wanted.architecture !== given.architecture) return false
  return wanted.variant === undefined || variantOf(wanted) === variantOf(given)
}

/** The variants that are meant where none is said. */
const usualVariants: Record<string, string> = { arm64: 'v8', arm: 'v7', amd64: 'v1' }

function variantOf({ architecture, variant }: Platform): string | undefined {
  return variant ?? (Object.hasOwn(usualVariants, architecture) ? usualVariants[architecture] : undefined)
}
