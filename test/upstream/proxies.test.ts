import { describe, expect, it } from 'vitest'
import { readProxies } from '../../src/upstream/proxies.ts'

describe('the proxies of the environment', () => {
  it.each([
    [{}, ''],
    [{ HTTP_PROXY: '' }, ''],
    [{ HTTP_PROXY: 'http://proxy.example:3128' }, 'http://proxy.example:3128/'],
    [{ HTTP_PROXY: 'proxy.example:3128' }, 'http://proxy.example:3128/'],
    [{ HTTP_PROXY: '10.0.0.1' }, 'http://10.0.0.1/'],
    [{ http_proxy: 'https://a:b@proxy.example', HTTP_PROXY: 'http://other' }, 'https://a:b@proxy.example/'],
  ])('%j is %j', (environment, proxy) => {
    expect(readProxies(environment)).toEqual({ httpProxy: proxy, httpsProxy: '', noProxy: '' })
  })

  it.each(['http://', 'http://a b', 'ftp://proxy.example', 'socks5://robot:hunter2@proxy.example'])(
    'is refused without being quoted: %s',
    (given) => {
      const read = () => readProxies({ HTTPS_PROXY: given })
      expect(read).toThrow('HTTPS_PROXY is not the URL of a proxy')
      expect(read).toThrow(expect.objectContaining({ code: 'PROXY_SETTING' }))
      expect(read).not.toThrow('hunter2')
    },
  )
})
