// Prints the pin of the certificate that a host makes for itself: node certificate-maker.mjs MODULE FOLDER
const [module, folder] = process.argv.slice(2);
const { ownCertificate } = await import(module);
process.stdout.write(ownCertificate({ names: ['localhost'], folder }).pin);
