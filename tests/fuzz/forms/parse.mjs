// Reads each NAME.type and NAME.body of a folder with busboy, and writes NAME.mjs: the parts as compare.py wants
// them, or "error".
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import busboy from 'busboy';

function parts(type, body) {
  return new Promise((resolve) => {
    const found = [];
    let parser;
    try {
      parser = busboy({ headers: { 'content-type': type }, preservePath: true, defParamCharset: 'utf8',
                        limits: { fieldSize: 1 << 30 } });
    } catch (error) {
      return resolve('error');
    }
    parser.on('field', (name, value) => found.push([name, null, Buffer.from(value).toString('base64')]));
    parser.on('file', (name, stream, info) => {
      const place = found.push([name, info.filename ?? null, '']) - 1;
      const pieces = [];
      stream.on('data', (piece) => pieces.push(piece));
      stream.on('end', () => { found[place][2] = Buffer.concat(pieces).toString('base64'); });
    });
    parser.on('error', () => resolve('error'));
    parser.on('close', () => resolve(found));
    parser.end(body);
  });
}

const folder = process.argv[2];
for (const file of readdirSync(folder).filter((name) => name.endsWith('.type'))) {
  const stem = join(folder, file.slice(0, -'.type'.length));
  const found = await parts(readFileSync(stem + '.type', 'latin1'), readFileSync(stem + '.body'));
  writeFileSync(stem + '.mjs', JSON.stringify(found));
}
