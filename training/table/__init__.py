"""Training, validation and scoring on any flat table, whatever its columns are called."""

from training.table.candidate import model_name as model_name
from training.table.candidate import table_parameters as table_parameters
from training.table.candidate import train_table_candidate as train_table_candidate
from training.table.frame import TableFrame as TableFrame
from training.table.frame import read_training_table as read_training_table
from training.table.request import TableRequest as TableRequest
