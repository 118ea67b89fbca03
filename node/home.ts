/** Where this program lies: as sources in a checkout, or built into `dist/node`, of a checkout or as it was installed. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const isSource = import.meta.url.endsWith('.ts')

/** The folder with package.json. Every built file lies beside every other. */
export const home = join(import.meta.dirname, isSource ? '..' : '../..')

/** Installed, it comes without its sources. */
export const isCheckout = isSource || existsSync(join(home, 'node/main.ts'))
