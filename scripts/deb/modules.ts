/** Which of the installed modules a published Shoal needs. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

interface LockFile {
  packages: Record<string, { dev?: true; optional?: true }>
}

/** Their folders below the checkout, such as `node_modules/koa`; throws when one is not installed. */
export function productiveModules(checkout: string): string[] {
  const { packages } = JSON.parse(readFileSync(path.join(checkout, 'package-lock.json'), 'utf8')) as LockFile
  return Object.entries(packages).flatMap(([folder, { dev, optional }]) => {
    if (folder === '' || dev === true) return []
    const installed = existsSync(path.join(checkout, folder))
    if (installed || optional === true) return installed ? [folder] : []
    throw new Error(`${folder} is not installed; run npm ci first`)
  })
}

/** Those of the folders that have machine code, and none for this architecture of Linux. */
export function modulesLacking(checkout: string, folders: readonly string[], architecture: string): string[] {
  return folders.filter((folder) => {
    const files = readdirSync(path.join(checkout, folder), { recursive: true, encoding: 'utf8' })
    const built = files.filter((file) => file.endsWith('.node') && !file.includes('node_modules'))
    // As prebuildify and node-gyp-build name them; what was compiled here is for this host alone.
    return built.length > 0 && !built.some((file) => file.includes(`linux-${architecture}`))
  })
}
