export const flood = { name: 'flood', run: async () => [] }
