/** For `node --import`: gives whoever instruments modules JavaScript, where Node would strip the types after it looked. */
import { register } from 'node:module'

register('./strip-types-hooks.ts', import.meta.url)
