// Lets ES modules find packages where NODE_PATH says, as Lambda's Node.js does: layers, and the machine's for the AWS SDK.

let parents = [];

export function initialize(given) {
  parents = given;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (error.code === 'ERR_MODULE_NOT_FOUND' && !/^([./]|\w+:)/.test(specifier)) {
      for (const parentURL of parents) {
        try {
          return await next(specifier, { ...context, parentURL });
        } catch {
          continue;
        }
      }
    }
    throw error;
  }
}
