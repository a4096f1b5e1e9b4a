import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { progressText, terminalProgress } from '../../verify/progress.ts'

const progress = suite('progress')

progress('a line says share, bytes, rate and time left', () => {
  assert.is(progressText(250e6, 1000e6, 5), '25 %  250 of 1000 MB  50.0 MB/s  15 s left')
  assert.match(progressText(0, 0, 0), /^100 %/)
  assert.match(progressText(11, 10, 1), /^100 %/)
})

progress('it is redrawn at most five times a second and leaves an empty line', () => {
  const written: string[] = []
  let now = 0
  const line = terminalProgress(
    text => written.push(text),
    1e6,
    () => now,
  )
  for (now = 10; now <= 1000; now += 10) line.add(1)
  line.close()
  assert.is(written.length, 6)
  assert.is(written.at(-1), '\r\x1b[K')
})

progress.run()
