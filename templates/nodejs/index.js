// Called at each fire; what it returns is kept in the history.
exports.main = async (event, context) => {
  console.log(`${context.function_name}: ${event.TriggerName} was due at ${event.Time}`)
  return { message: event.Message, reason: context.reason }
}
