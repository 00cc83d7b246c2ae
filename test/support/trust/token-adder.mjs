// Adds tokens to a store, and revokes every second one: node token-adder.mjs STORE-MODULE FOLDER COUNT
const [module, folder, count] = process.argv.slice(2);
const { TokenStore } = await import(module);
const store = new TokenStore(folder);
for (let at = 0; at < Number(count); at += 1) {
  const { token, entry } = store.add({ note: String(process.pid) });
  if (at % 2) store.revoke(entry.id);
  else process.stdout.write(`${token}\n`);
}
