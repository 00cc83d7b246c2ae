export const cases = {
  async buffer_usage(): Promise<void> {
    if (GPUBufferUsage.MAP_READ !== 1 || GPUBufferUsage.QUERY_RESOLVE !== 512) throw new Error('other bits');
  },
};
