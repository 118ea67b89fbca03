export type { Background } from '../base/base.ts'
