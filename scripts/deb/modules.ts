/** Which of the installed modules a published Shoal needs. */
import { existsSync, readFileSync } from 'node:fs'
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
