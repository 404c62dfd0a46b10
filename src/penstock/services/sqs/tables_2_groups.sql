-- A FIFO group can be received from when its first message is visible, whatever is hidden behind it: AWS was recorded to do
-- so. Before, it was not while any received message of it was hidden, for which there was an index.
DROP INDEX sqs_message_held;
UPDATE sqs_group SET ready_at = coalesce(
    (SELECT visible_at FROM sqs_message WHERE sqs_message.id = sqs_group.head), ready_at
);
