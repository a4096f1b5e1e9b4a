import { openMemoryToken } from '../../hsm/memory-token.ts'
import { tokenContract } from './token-contract.ts'

const test = tokenContract('memory', [0x0010, 0x0020, 0x0030, 0x0031], async () => {
  const token = openMemoryToken({ label: 'contract' })
  return { token, remove: () => token.close() }
})

test.run()
